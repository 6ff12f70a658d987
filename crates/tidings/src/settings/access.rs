//! The settings that say who may what, entries of the table.
//! Knows nothing of how tokens are checked.

use std::path::PathBuf;

use tidings_core::limits::JWT_SKEW as JWT_SKEW_DEFAULT;
use tidings_server::auth::{JwksUrl, Origins, Secret};

use super::table::{Scope, Setting, Shape};
use super::values::{duration, duration_text, read_one, switch, switch_text};

/// More is no skew: such a clock is wrong.
const SKEW_MS_MAX: u64 = 60 * 60 * 1000;

/// A ticket that is valid for longer is a token in an address.
const TICKET_MS_MAX: u64 = 60 * 60 * 1000;

const _: () = assert!(JWT_SKEW_DEFAULT.as_millis() <= SKEW_MS_MAX as u128);

pub(super) const JWT_KEY: Setting = Setting {
    key: "jwt-key",
    shape: Shape::Many("FILE"),
    scope: Scope::Serve,
    help: "A file with what signed tokens (JWT) are checked with: a PEM public key, a JWK, a JWKS \
           document, or a secret of 32 bytes or more (TIDINGS_JWT_SECRET holds one itself). It is \
           read again when it changes. Can be given several times",
    read: |settings, values| {
        settings.access.jwt_keys = paths(values);
        Ok(())
    },
    show: |settings| shown(settings.access.jwt_keys.iter().map(|path| path.display())),
};

pub(super) const JWT_SECRET: Setting = Setting {
    key: "jwt-secret",
    shape: Shape::Secret("SECRET"),
    scope: Scope::ServeSecret,
    help: "The secret itself that tokens are signed with, by HS256, HS384 or HS512",
    read: |settings, values| {
        let mut secret = None;
        read_one(&mut secret, values, |text| {
            Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
        })?;
        settings.access.jwt_secret = secret;
        Ok(())
    },
    show: |settings| settings.access.jwt_secret.as_ref().map_or("", |_| "(hidden)").into(),
};

pub(super) const JWKS_URL: Setting = Setting {
    key: "jwks-url",
    shape: Shape::Many("URL"),
    scope: Scope::Serve,
    help: "An https address with the keys of tokens (JWKS), asked again when a token names a key \
           that is not there. Can be given several times",
    read: |settings, values| {
        let urls = given(values).map(|text| JwksUrl::parse(text));
        settings.access.jwks_urls = urls.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        Ok(())
    },
    show: |settings| shown(settings.access.jwks_urls.iter()),
};

pub(super) const JWT_AUDIENCE: Setting = Setting {
    key: "jwt-audience",
    shape: Shape::Many("NAME"),
    scope: Scope::Serve,
    help: "Who this hub is: a token has to be for it (claim aud). Without it, tokens that are for \
           somebody in particular are refused. Can be given several times",
    read: |settings, values| {
        settings.access.jwt_audiences = given(values).cloned().collect();
        Ok(())
    },
    show: |settings| settings.access.jwt_audiences.join(","),
};

pub(super) const JWT_ISSUER: Setting = Setting {
    key: "jwt-issuer",
    shape: Shape::Many("NAME"),
    scope: Scope::Serve,
    help: "Whose tokens count (claim iss); without it, those of anybody who has the key. Can be \
           given several times",
    read: |settings, values| {
        settings.access.jwt_issuers = given(values).cloned().collect();
        Ok(())
    },
    show: |settings| settings.access.jwt_issuers.join(","),
};

pub(super) const JWT_SKEW: Setting = Setting {
    key: "jwt-skew",
    shape: Shape::One("DURATION"),
    scope: Scope::Serve,
    help: "How far the clocks of those who make tokens may be off",
    read: |settings, values| {
        read_one(&mut settings.access.jwt_skew, values, |text| duration(text, 0, SKEW_MS_MAX))
    },
    show: |settings| duration_text(settings.access.jwt_skew),
};

pub(super) const JWT_ALLOW_NO_EXPIRY: Setting = Setting {
    key: "jwt-allow-no-expiry",
    shape: Shape::Switch,
    scope: Scope::Serve,
    help: "Take tokens that never end (without exp) too. Nothing but another key takes them back",
    read: |settings, values| read_one(&mut settings.access.jwt_allow_no_expiry, values, switch),
    show: |settings| switch_text(settings.access.jwt_allow_no_expiry),
};

pub(super) const API_KEYS: Setting = Setting {
    key: "api-keys",
    shape: Shape::One("FILE"),
    scope: Scope::Serve,
    help: "A file with the hashes of API keys and what each may (tidings keygen --api-key writes \
           it). It is read again when it changes",
    read: |settings, values| one_path(&mut settings.access.api_keys, values),
    show: |settings| shown(settings.access.api_keys.iter().map(|path| path.display())),
};

pub(super) const ANONYMOUS_SUBSCRIBE: Setting = Setting {
    key: "anonymous-subscribe",
    shape: Shape::One("BOOL"),
    scope: Scope::Serve,
    help: "Whether events that are not private may be read without a token: true or false",
    read: |settings, values| read_one(&mut settings.access.anonymous_subscribe, values, switch),
    show: |settings| switch_text(settings.access.anonymous_subscribe),
};

pub(super) const COOKIE_NAME: Setting = Setting {
    key: "cookie-name",
    shape: Shape::One("NAME"),
    scope: Scope::Serve,
    help: "The cookie that a browser's token may be in",
    read: |settings, values| {
        read_one(&mut settings.access.cookie_name, values, |text| Ok(text.to_owned()))
    },
    show: |settings| settings.access.cookie_name.clone(),
};

pub(super) const CORS_ORIGINS: Setting = Setting {
    key: "cors-origins",
    shape: Shape::Many("ORIGIN"),
    scope: Scope::Serve,
    help: "Pages of which other origins may read and publish, with cookies, such as \
           https://app.example; * for all of them, which may only read, without cookies; none. \
           Can be given several times",
    read: |settings, values| {
        settings.access.cors_origins = Origins::parse(values).map_err(|e| e.to_string())?;
        Ok(())
    },
    show: |settings| settings.access.cors_origins.to_string(),
};

pub(super) const TICKET_TIME: Setting = Setting {
    key: "ticket-time",
    shape: Shape::One("DURATION"),
    scope: Scope::Serve,
    help: "How long a ticket is valid, which browsers show instead of a token",
    read: |settings, values| {
        read_one(&mut settings.access.ticket_time, values, |text| {
            duration(text, 1000, TICKET_MS_MAX)
        })
    },
    show: |settings| duration_text(settings.access.ticket_time),
};

pub(super) const TICKET_KEY: Setting = Setting {
    key: "ticket-key",
    shape: Shape::One("FILE"),
    scope: Scope::Serve,
    help: "A file with a secret of 32 bytes or more that tickets are signed with, the same for \
           several hubs that are one; without it, one that ends with the process",
    read: |settings, values| one_path(&mut settings.access.ticket_key, values),
    show: |settings| shown(settings.access.ticket_key.iter().map(|path| path.display())),
};

/// A list that is empty is one empty text where a variable or the file says so.
fn given(values: &[String]) -> impl Iterator<Item = &String> {
    values.iter().filter(|text| !text.is_empty())
}

fn paths(values: &[String]) -> Vec<PathBuf> {
    given(values).map(PathBuf::from).collect()
}

fn one_path(slot: &mut Option<PathBuf>, values: &[String]) -> Result<(), String> {
    read_one(slot, values, |text| Ok((!text.is_empty()).then(|| text.into())))
}

fn shown(values: impl Iterator<Item = impl ToString>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(",")
}
