//! A server that knows its users by what an operator has signed, and a node with a `.creds` file.

use nkeys::KeyPair;

use super::*;

/// A token as NATS has it: JSON Web Tokens that are signed with Ed25519 keys of its own kind.
fn token(issuer: &KeyPair, subject: &KeyPair, name: &str, rights: &str) -> String {
    let claims = format!(
        r#"{{"jti":"{name}","iat":1767225600,"iss":"{}","name":"{name}","sub":"{}","nats":{rights}}}"#,
        issuer.public_key(),
        subject.public_key(),
    );
    let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_node_shows_its_credentials() {
    let (operator, account, user) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let system = KeyPair::new_account();
    let own = token(&operator, &operator, "operator", r#"{"type":"operator","version":2}"#);
    let limits = r#""subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,
        "conn":-1,"leaf":-1,"mem_storage":-1,"disk_storage":-1,"streams":-1,"consumer":-1"#;
    let rights = format!(r#"{{"type":"account","version":2,"limits":{{{limits}}}}}"#);
    let hub = token(&operator, &account, "hub", &rights);
    let rights =
        r#"{"type":"account","version":2,"limits":{"subs":-1,"conn":-1,"data":-1,"payload":-1}}"#;
    let all = token(&operator, &system, "system", rights);
    let rights = r#"{"type":"user","version":2,"subs":-1,"data":-1,"payload":-1}"#;
    let node = token(&account, &user, "node", rights);
    let (hub_key, system_key) = (account.public_key(), system.public_key());
    let server = Server::with(
        free_port,
        &format!(
            "jetstream {{ store_dir: STORE }}
             operator: {own}
             system_account: {system_key}
             resolver: MEMORY
             resolver_preload: {{ {hub_key}: {hub}, {system_key}: {all} }}"
        ),
    );
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{node}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    let credentials = Some(NatsCredentials::new(text));
    let open = async |credentials| {
        Nats::open(NatsOptions { credentials, ..options(&[server.port], "") }).await
    };
    let log = open(credentials).await.unwrap();
    assert_eq!(put(&log, "1").await, 1);
    let error = open(None).await.unwrap_err().to_string();
    assert!(error.contains("credentials"), "{error}");
    let error = open(Some(NatsCredentials::new("none".into()))).await.unwrap_err().to_string();
    assert!(error.contains("nats-credentials"), "{error}");
}
