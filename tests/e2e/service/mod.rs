//! The service: `tidemill serve` as a child process, on real servers, asked by its API.

mod access;
mod pages;
mod pipes;
mod restarts;
