//! The service: `tidemill serve` as a child process, on real servers, asked by its API.

mod access;
mod pipes;
mod reach;
mod restarts;
mod shares;
