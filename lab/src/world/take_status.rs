//! Takes the status of a world: asks all its servers, and compares them with the primary.

use std::time::Instant;

use futures_util::future::join_all;

use crate::links::Link;
use crate::server::Server;
use crate::status::{LinkStatus, Status, probe};
use crate::world::World;

impl World {
    /// Asks all servers at once for their state, without a link between. It takes a second at most:
    /// a server that has not answered by then is silent.
    pub async fn status(&self) -> Status {
        let probes = self.servers().map(|server| probe::probe(server.process()));
        let servers = join_all(probes).await;
        let links = self.links_in_use().into_iter().map(LinkStatus::from).collect();
        let mut status = Status { servers, links };
        let mut progress = self.processes.primary_progress();
        status.compare_with_primary(self.primary().region(), &mut progress, Instant::now());
        status
    }

    fn links_in_use(&self) -> Vec<Link> {
        let others = self.links().places_with_proxy();
        let others = others.iter().map(String::as_str).filter(|it| self.server(it).is_none());
        let places: Vec<&str> = self.servers().map(Server::region).chain(others).collect();
        let links = self.links().among(&places).into_iter();
        // Nothing travels between two places without a server.
        links.filter(|link| self.server(&link.a).is_some()).collect()
    }
}
