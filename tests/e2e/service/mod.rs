//! The service: `tidemill serve` as a child process, on real servers, asked by its API.

mod access;
mod pages;
mod document;
mod pipes;
mod reach;
mod remote;
mod restarts;
mod shares;
