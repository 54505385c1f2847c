//! What would become of a job, without a call: who would paint, with which bodies, at what price.
//!
//! Must not call anyone or put anyone to rest.

use std::sync::Arc;

use super::{Failure, Job, Router, count};
use crate::config::Deployment;
use crate::image::{Part, Unsupported};
use crate::provider::Request;

/// What would be done now. Cooldowns, weights and chance may decide otherwise the next time.
#[derive(Debug)]
pub struct Explanation {
    /// Who would be asked first.
    pub deployment: Arc<Deployment>,
    /// What it would be sent: one request for each call.
    pub requests: Vec<(Part, Request)>,
    /// Who would be asked if it failed, in order.
    pub next: Vec<Arc<Deployment>>,
    /// Who would not be asked, and why.
    pub unable: Vec<(Arc<Deployment>, Unsupported)>,
    /// What the caller asks for in vain, beside what the requests say.
    pub ignored: Vec<String>,
}

impl Explanation {
    /// List price in US dollars of all pictures, if it is known.
    pub fn price(&self) -> Option<f64> {
        let price = |(part, request): &(Part, Request)| {
            self.deployment.price_of(request.size, request.quality, part.count.into())
        };
        self.requests.iter().map(price).sum()
    }
}

impl Router {
    /// Plans a job and makes its pictures ready, as `dispatch` would, and calls nobody.
    pub async fn explain(&self, job: &Job) -> Result<Explanation, Failure> {
        let mut plan = self.plan(job)?;
        let next = plan.usual.split_off(1);
        let deployment = plan.usual.swap_remove(0);
        let whole = Part { first: 0, count: count(job, &deployment) };
        let mut requests = Vec::new();
        for part in whole.split(deployment.model.limits.pictures_per_call) {
            let (request, _) = self.ready(&deployment, job, part, &plan.group, None).await?;
            requests.push((part, request));
        }
        Ok(Explanation { deployment, requests, next, unable: plan.unable, ignored: plan.ignored })
    }
}
