//! A visitor's cookies, and what the visitor knows.

use super::postgres::{Point, Postgres};
use crate::position::Position;
use crate::visitor::SessionData;

/// A visitor, as the cookies and the answers have made them.
#[derive(Clone, Default)]
pub(super) struct Visitor {
    jar: Vec<Position>,
    /// What acknowledged writes and answers have shown.
    pub(super) knows: Vec<Point>,
    /// Whether an answer of another history came since the primary's last one: its position may hide
    /// the earlier ones.
    pub(super) is_misled: bool,
}

/// What an answer does to the jar.
#[derive(Clone)]
pub(super) struct Cookies {
    /// The latest of each database that the request has used.
    carried: Vec<Position>,
    /// The cookies that the request brought.
    brought: Vec<Position>,
}

impl Visitor {
    /// The cookies that go with a request.
    pub(super) fn brings(&self) -> Vec<Position> {
        self.jar.clone()
    }

    /// The visitor gets an answer. With `one_name` all cookies share a name, so that the last answer
    /// wins.
    pub(super) fn receive(&mut self, answer: &Cookies, one_name: bool) {
        for carried in &answer.carried {
            let is_replaced = |cookie: &Position| {
                cookie.system == carried.system && (one_name || answer.brought.contains(cookie))
            };
            self.jar.retain(|cookie| cookie != carried && !is_replaced(cookie));
            self.jar.push(*carried);
        }
    }

    /// Remembers what an answer has shown.
    pub(super) fn learn(&mut self, point: Point, postgres: &Postgres) {
        self.knows.retain(|known| !postgres.contains(point, *known));
        self.knows.push(point);
    }
}

/// What the answer to a request with this session does to the jar.
pub(super) fn cookies(session: &SessionData, brought: Vec<Position>) -> Cookies {
    Cookies { carried: session.carried().collect(), brought }
}
