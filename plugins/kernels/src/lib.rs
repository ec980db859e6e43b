//! What the plugins that come with Tidemill share. Small and typed: Arrow's own kernels know every type, and cost 2 to 5 MB.

pub mod compare;
pub mod convert;
pub mod decimal;
pub mod like;
pub mod moment;
pub mod sql;
