//! The service: `tidemill serve` as a child process, on real servers, asked by its API.

mod access;
mod document;
mod pages;
mod pipes;
mod reach;
mod remote;
mod restarts;
mod shares;
