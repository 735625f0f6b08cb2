//! Finding where a call goes, while AWS may still be asked what a profile was made from.
//!
//! A call that may mean such a profile waits for the answer, which is asked for once however many wait, and goes nowhere else meanwhile.

use super::Gateway;
use crate::bedrock::Operation;
use crate::identity::Principal;
use crate::profiles::{ResolveError, Target};
use crate::types::{ModelName, ProfileArn};

impl Gateway {
    /// Finds where a call goes; waits where AWS is being asked what a profile was made from that may be meant.
    pub(super) async fn find(
        &self,
        principal: &Principal,
        operation: Operation,
        name: &ModelName,
        text: &str,
    ) -> Result<Target, ResolveError> {
        let mut asked: Vec<ProfileArn> = Vec::new();
        loop {
            let resolved = self.directory.load().resolve(principal, operation, name, text);
            match resolved {
                Err(ResolveError::Awaited { arn, .. }) if !asked.contains(&arn) => {
                    self.directory.learn_source(&arn, self.signer.now()).await;
                    asked.push(arn);
                }
                resolved => return resolved,
            }
        }
    }
}
