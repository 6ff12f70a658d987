//! Reads the variables that begin with `TIDINGS_`.
//! Knows nothing of the process's environment: it is handed the variables.

use super::table::Shape;
use super::{Given, Origin, TABLE, did_you_mean};

/// Names the settings file.
pub(super) const CONFIG: &str = "TIDINGS_CONFIG";

/// Set for the commands of `subscribe --exec`, which may well run `tidings publish`.
const OF_EXEC: [&str; 2] = ["TIDINGS_EVENT", "TIDINGS_ID"];

/// What the environment gives, and what is wrong with it.
pub(super) fn read(environment: &[(String, String)]) -> (Vec<Given>, Vec<String>) {
    let mut given = Vec::new();
    let mut problems = Vec::new();
    let find = |wanted: &str| environment.iter().find(|(name, _)| name == wanted);
    for setting in TABLE {
        let mut variable = find(&setting.variable());
        if setting.key == "log-level" && variable.is_none() {
            variable = find("RUST_LOG");
        }
        let Some((name, value)) = variable else { continue };
        let values = match setting.shape {
            Shape::Many(_) => value.split(',').map(|value| value.trim().into()).collect(),
            Shape::One(_) | Shape::Secret(_) | Shape::Switch => vec![value.clone()],
        };
        given.push(Given { setting, values, origin: Origin::Environment(name.clone()) });
    }
    let known: Vec<_> = TABLE.iter().map(super::Setting::variable).collect();
    for (name, value) in environment {
        let ours = name.starts_with("TIDINGS_")
            && name != CONFIG
            && !OF_EXEC.contains(&name.as_str())
            && !known.contains(name)
            && !of_a_cluster(name, value);
        if ours {
            let names = known.iter().map(String::as_str).chain([CONFIG]);
            problems.push(format!("unknown variable {name}{}", did_you_mean(name, names)));
        }
    }
    (given, problems)
}

/// Kubernetes and Docker describe a service named `tidings` to its neighbours in variables that
/// look like ours: `TIDINGS_SERVICE_HOST`, `TIDINGS_PORT=tcp://10.0.0.1:3000`,
/// `TIDINGS_PORT_3000_TCP_ADDR`. A program that stumbles over its own service could not run there.
fn of_a_cluster(name: &str, value: &str) -> bool {
    let of_a_port = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let (port, protocol) = rest.split_once('_').unwrap_or((rest, ""));
        let protocol = protocol.split('_').next().unwrap_or_default();
        port.parse::<u16>().is_ok() && matches!(protocol, "TCP" | "UDP" | "SCTP")
    });
    let of_a_service = name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_");
    let of_a_link = name.ends_with("_PORT") && value.contains("://");
    of_a_port || of_a_service || of_a_link
}
