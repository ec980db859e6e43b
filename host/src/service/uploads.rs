//! What uploads of plugins and of files share: how large they may be, each and together.

use axum::body::Bytes;

use super::Service;
use super::auth::Caller;
use super::problem::Problem;
use super::shares::Turn;

/// What was uploaded. Who has it has the tenant's turn, too: a client that goes away doesn't let the next one begin while this one is still in memory.
pub(super) struct Uploaded {
    pub(super) bytes: Bytes,
    /// None where the request wasn't known to be an upload, and its body is no larger than others'.
    pub(super) _turn: Option<Turn>,
}

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
