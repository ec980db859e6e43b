//! The service: `tidemill serve` as a child process, on real servers, asked by its API.

mod access;
mod document;
mod logs;
mod metrics;
mod pages;
mod pipes;
mod reach;
mod reads;
mod receiver;
mod remote;
mod restarts;
mod shares;
mod traces;
mod uploads;
mod webhooks;
