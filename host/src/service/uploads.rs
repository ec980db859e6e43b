//! What uploads of plugins and of files share: how large they may be, each and together.

use super::Service;
use super::auth::Caller;
use super::problem::Problem;

impl Service {
    /// Largest upload, in bytes.
    pub(super) fn largest_upload(&self) -> usize {
        usize::try_from(self.environment.policy().max_size()).unwrap_or(usize::MAX)
    }

    /// How much a tenant may have uploaded, in bytes.
    pub(super) fn most_uploaded(&self, caller: &Caller) -> Result<u64, Problem> {
        let tenant = self.store.tenant_record(&caller.tenant)?;
        Ok(tenant.map_or(0, |tenant| tenant.quotas.upload_bytes))
    }
}

/// The refusal of an upload by the tenant's quota.
pub(super) fn too_much(most: u64) -> Problem {
    Problem::quota(format!(
        "the tenant's uploads would be more than {most} bytes"
    ))
}
