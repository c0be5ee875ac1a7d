//! The edge, through the door that visitors take: real sockets, in front of tiny apps that remember what they were asked.

mod app;
#[path = "../../../lab/tests/eventually/mod.rs"]
mod eventually;
mod failures;
mod pages;
mod planet;
mod replay;
mod requests;
mod standing;
mod time;
