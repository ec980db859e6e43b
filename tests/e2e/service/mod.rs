//! The service: `tidemill serve` as a child process, on real servers, asked by its API.

mod access;
mod desk;
mod document;
mod isolation;
mod logs;
mod metrics;
mod orders;
mod pages;
mod pipes;
mod reach;
mod reads;
mod receiver;
mod remote;
mod requests;
mod restarts;
mod shares;
mod traces;
mod uploads;
mod webhooks;
