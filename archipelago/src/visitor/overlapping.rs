//! All orders in which the requests of one visitor can overlap, against a browser's jar.

use std::collections::{BTreeMap, HashSet};

use super::cookie::cookie_name;
use super::session_data::{Brought, SessionData};
use crate::position::Position;
use crate::region::Role;

/// Cookies by their names.
type Jar = BTreeMap<String, Position>;

/// A visitor, the requests under way, and the primary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Visit {
    jar: Jar,
    under_way: Vec<Request>,
    sent: usize,
    /// How many commits the primary has.
    commits: u64,
    /// The latest position that an answer has brought.
    latest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Request {
    /// With the LSNs of the cookies that the jar had then.
    Sent(Vec<u64>),
    /// The LSN that the answer carries, and the names that it takes back.
    Served(u64, Vec<String>),
}

/// How a request is served.
#[derive(Clone, Copy)]
enum Served {
    Write,
    ReadAtPrimary,
    /// By a replica that shows no more than it must.
    ReadAtReplica,
}

/// How many requests a visit has, how many at once, and how its cookies are named.
#[derive(Clone, Copy)]
struct Rules {
    requests: usize,
    at_once: usize,
    name: fn(Position) -> String,
}

fn at(lsn: u64) -> Position {
    Position { system: 7, timeline: 1, lsn }
}

impl Rules {
    /// Every state that can follow.
    fn next(self, visit: &Visit) -> Vec<Visit> {
        let mut next = Vec::new();
        let mut follow = |change: &dyn Fn(&mut Visit)| {
            let mut visit = visit.clone();
            change(&mut visit);
            visit.under_way.sort();
            next.push(visit);
        };
        if visit.sent < self.requests && visit.under_way.len() < self.at_once {
            follow(&|visit| {
                let cookies = visit.jar.values().map(|position| position.lsn).collect();
                visit.under_way.push(Request::Sent(cookies));
                visit.sent += 1;
            });
        }
        for (index, request) in visit.under_way.iter().enumerate() {
            match request {
                Request::Sent(cookies) => {
                    for how in [Served::Write, Served::ReadAtPrimary, Served::ReadAtReplica] {
                        follow(&|visit| {
                            visit.under_way[index] = self.serve(cookies, how, &mut visit.commits);
                        });
                    }
                }
                Request::Served(lsn, taken_back) => follow(&|visit| {
                    visit.jar.insert((self.name)(at(*lsn)), at(*lsn));
                    visit.jar.retain(|name, _| !taken_back.contains(name));
                    visit.latest = visit.latest.max(*lsn);
                    visit.under_way.remove(index);
                }),
            }
        }
        next
    }

    fn serve(self, cookies: &[u64], how: Served, commits: &mut u64) -> Request {
        let mut session = SessionData::default();
        let brought = cookies
            .iter()
            .map(|lsn| Brought { position: at(*lsn), cookie: Some((self.name)(at(*lsn))) });
        session.set_brought(brought.collect());
        let must_show = session.position(7).map_or(0, |position| position.lsn);
        match how {
            Served::Write => {
                *commits += 1;
                session.record_write(at(*commits));
            }
            Served::ReadAtPrimary => session.record_read(at(*commits), Role::Primary),
            Served::ReadAtReplica => session.record_read(at(must_show), Role::Replica),
        }
        let carried = session.carried().next().unwrap();
        let name = (self.name)(carried);
        let taken_back = session.replaced_by(carried, &name).map(str::to_owned).collect();
        Request::Served(carried.lsn, taken_back)
    }

    /// What is wrong with the jar.
    fn fault(self, visit: &Visit) -> Option<&'static str> {
        let has_latest = visit.jar.values().any(|position| position.lsn >= visit.latest);
        let is_at_rest = visit.under_way.is_empty() && visit.sent == self.requests;
        if visit.latest > 0 && !has_latest {
            Some("the jar has gone back")
        } else if visit.jar.len() > self.at_once {
            Some("the jar has more cookies than there were requests at once")
        } else if is_at_rest && self.after_one_more(visit).len() != 1 {
            Some("one request at rest does not tidy the jar")
        } else {
            None
        }
    }

    /// The jar after one more request with no other under way.
    fn after_one_more(self, visit: &Visit) -> Jar {
        let rules = Self { requests: visit.sent + 1, ..self };
        let step = |visit: Visit| rules.next(&visit).remove(0);
        step(step(step(visit.clone()))).jar
    }

    /// The first fault of any visit, and how many states all visits have.
    fn explore(self) -> Result<usize, (&'static str, Visit)> {
        let mut known = HashSet::from([Visit::default()]);
        let mut open = vec![Visit::default()];
        while let Some(visit) = open.pop() {
            for next in self.next(&visit) {
                if let Some(fault) = self.fault(&next) {
                    return Err((fault, next));
                }
                if known.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        Ok(known.len())
    }
}

fn by_position(position: Position) -> String {
    cookie_name(position, "signature")
}

#[test]
fn no_order_of_answers_takes_a_jar_back() {
    for (requests, at_once) in [(4, 4), (5, 2)] {
        let states = Rules { requests, at_once, name: by_position }.explore();
        assert!(states.expect("no visit has a fault") > 1000);
    }
}

#[test]
fn with_one_common_name_a_late_answer_takes_the_jar_back() {
    let common = Rules { requests: 2, at_once: 2, name: |_| "common".to_owned() };
    let (fault, _) = common.explore().unwrap_err();
    assert_eq!(fault, "the jar has gone back");
}
