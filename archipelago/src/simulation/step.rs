//! The steps of a schedule: plain data. A step that does not fit the state of the world does nothing,
//! so any step can be left out.

use fastrand::Rng;

use super::postgres::Millis;

/// The number of each kind of actor.
pub(super) const SERVERS: usize = 3;
pub(super) const PROCESSES: usize = 2;
pub(super) const VISITORS: usize = 3;

/// A request of a visitor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) visitor: usize,
    pub(super) process: usize,
    pub(super) allows_stale: bool,
    /// None for a read.
    pub(super) write: Option<Write>,
    /// How long the server works on it.
    pub(super) work: Millis,
    /// How long the answer takes to the visitor.
    pub(super) late: Millis,
}

/// A commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    /// How long a replica removes files after the commit.
    pub(super) removes_files: Millis,
    pub(super) is_synchronous: bool,
    /// Whether the answer is lost.
    pub(super) is_unanswered: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Wait(Millis),
    Visit(Visit),
    Crash(usize),
    Start(usize),
    Cut {
        process: usize,
        server: usize,
    },
    Heal {
        process: usize,
        server: usize,
    },
    CutReplication(usize),
    HealReplication(usize),
    PauseReplay(usize),
    ResumeReplay(usize),
    Lag {
        server: usize,
        lag: Millis,
    },
    SetClock {
        server: usize,
        ahead: i64,
    },
    RestartProcess(usize),
    /// The operator promotes a replica, and points the others to it.
    Promote {
        server: usize,
        stops_old: bool,
    },
    /// A replica starts writable: it has lost its `standby.signal`, or is a restored copy.
    StartWritable {
        server: usize,
        jump: u32,
    },
    /// A replica follows another one, which follows the primary.
    Cascade {
        server: usize,
        upstream: usize,
    },
    /// A restored copy starts in recovery: it answers reads, and follows no server.
    Restore {
        server: usize,
        commits: u64,
    },
    /// A restored copy ends its recovery, and takes writes.
    EndRecovery(usize),
    /// A new database without rows comes in the primary's place.
    EmptyPrimary,
    /// The login role loses, or gets, the right to see on which timeline a replica is.
    SeeTimelines(bool),
    /// The operator rebuilds a server as a replica of the primary.
    Rebuild(usize),
    /// The primary is put back to an older copy.
    PutBack {
        commits: u64,
        is_older_timeline: bool,
    },
    /// A new database comes behind all URLs.
    ReplaceAll,
}

impl Step {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let (server, process) = (rng.usize(..SERVERS), rng.usize(..PROCESSES));
        match rng.u32(..1000) {
            0..300 => Self::Wait(match rng.u32(..100) {
                0..60 => rng.u64(5..250),
                60..85 => rng.u64(250..3000),
                85..98 => rng.u64(3000..14_000),
                98 => 65_000,
                _ => 150_000,
            }),
            300..734 => Self::Visit(Visit {
                visitor: rng.usize(..VISITORS),
                process,
                allows_stale: rng.u32(..3) == 0,
                write: (rng.u32(..5) < 2).then(|| Write {
                    removes_files: if rng.bool() { rng.u64(50..1500) } else { 0 },
                    is_synchronous: rng.u32(..4) > 0,
                    is_unanswered: rng.u32(..20) == 0,
                }),
                work: if rng.u32(..4) == 0 { rng.u64(..300) } else { rng.u64(..5) },
                late: if rng.u32(..4) == 0 { rng.u64(..800) } else { rng.u64(..20) },
            }),
            734..738 => Self::Cascade { server, upstream: rng.usize(..SERVERS) },
            738..744 => Self::Restore { server, commits: rng.u64(..4) },
            744..754 => Self::EndRecovery(server),
            754..756 => Self::EmptyPrimary,
            756..760 => Self::SeeTimelines(rng.bool()),
            760..785 => Self::Crash(server),
            785..825 => Self::Start(server),
            825..840 => Self::Cut { process, server },
            840..865 => Self::Heal { process, server },
            865..875 => Self::CutReplication(server),
            875..890 => Self::HealReplication(server),
            890..900 => Self::PauseReplay(server),
            900..915 => Self::ResumeReplay(server),
            915..925 => Self::Lag { server, lag: [0, 300, 3000, 12_000][rng.usize(..4)] },
            925..930 => Self::SetClock { server, ahead: [-20_000, -1000, 0, 1000][rng.usize(..4)] },
            930..942 => Self::RestartProcess(process),
            942..957 => Self::Promote { server, stops_old: rng.bool() },
            957..967 => Self::StartWritable { server, jump: rng.u32(..3) },
            967..988 => Self::Rebuild(server),
            988..996 => {
                Self::PutBack { commits: rng.u64(1..6), is_older_timeline: rng.u32(..3) == 0 }
            }
            _ => Self::ReplaceAll,
        }
    }
}

/// The schedule of a seed.
pub(super) fn schedule(seed: u64, length: usize) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    (0..length).map(|_| Step::random(&mut rng)).collect()
}
