//! What the nodes hold, counted in the server: a hash for each name, with a field for each node.
//! Knows nothing of what they hold.

use async_trait::async_trait;
use redis::Value;
use tidings_core::limits::{SHARES_LEASE, SHARES_TIME_MAX};

use super::Redis;
use super::scripts;
use crate::{ReadError, Share, Shares};

#[async_trait]
impl Shares for Redis {
    async fn hold(&self, shares: &[Share<'_>]) -> Result<Vec<bool>, ReadError> {
        let keys = &self.shared.engine.keys;
        let names = shares.iter().map(|share| keys.held(share.name));
        let names: Vec<String> = [keys.nodes.clone()].into_iter().chain(names).collect();
        let mut arguments = vec![keys.name.clone(), milliseconds(SHARES_TIME_MAX)];
        arguments.push(milliseconds(SHARES_LEASE));
        for Share { held, order, max, .. } in shares {
            let max = max.map_or_else(String::new, |max| max.to_string());
            arguments.extend([held.to_string(), order.to_string(), max]);
        }
        let answer = self.reader.evaluate(&scripts::HOLD, &names, &arguments).await?;
        let answers = scripts::array(answer).unwrap_or_default();
        if answers.len() == shares.len() {
            return Ok(answers.into_iter().map(|answer| answer == Value::Int(1)).collect());
        }
        let reason = self.shared.trouble("it answers what no script of ours does");
        Err(ReadError::Failed { reason })
    }

    async fn live(&self, since: u64) -> Result<bool, ReadError> {
        let keys = &self.shared.engine.keys;
        let arguments = [keys.name.clone(), milliseconds(SHARES_LEASE), since.to_string()];
        let names = [keys.nodes.clone()];
        let answer = self.reader.evaluate(&scripts::LIVE, &names, &arguments).await?;
        Ok(answer == Value::Int(1))
    }
}

fn milliseconds(time: std::time::Duration) -> String {
    time.as_millis().to_string()
}
