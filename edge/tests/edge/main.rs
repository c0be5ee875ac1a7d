//! Tests of the edge over real sockets, in front of small apps that record their requests.

#[path = "../../../lab/tests/eventually/mod.rs"]
mod eventually;
mod failures;
mod latency;
mod pages;
mod replay;
mod requests;
mod test_app;
mod testbed;
mod visitor_place;
