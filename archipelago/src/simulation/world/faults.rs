//! What befalls the world: each fault of a schedule, and the mending of all.

use super::{RECOVERS, World, seconds};
use crate::simulation::process::REGIONS;
use crate::simulation::step::{PROCESSES, SERVERS, Step, VISITORS, Visit, Write};

impl World {
    pub(in crate::simulation) fn run(&mut self, step: Step) {
        match step {
            Step::Wait(time) => self.wait(time),
            Step::Visit(visit) => self.visit(visit),
            fault => self.befall(fault),
        }
    }

    #[allow(clippy::too_many_lines)]
    pub(super) fn befall(&mut self, fault: Step) {
        let truth = self.truth;
        let postgres = &mut self.postgres;
        let is_up = |server: usize| postgres.servers[server].is_up;
        match fault {
            Step::Crash(server) if is_up(server) => {
                postgres.crash(server);
                self.interrupt();
                self.tell(|_| format!("{} crashes", REGIONS[server]));
            }
            Step::Start(server) if !is_up(server) => {
                postgres.start(server);
                // A restart cannot be told from a rebuild.
                self.forget_ahead(server);
                self.tell(|_| format!("{} starts", REGIONS[server]));
            }
            Step::Cut { process, server } if !self.is_cut[process][server] => {
                self.is_cut[process][server] = true;
                self.processes[process].complete_since = None;
                self.processes[process].evident_since = None;
                let home = REGIONS[self.processes[process].home()];
                self.tell(|_| format!("the process in {home} is cut off from {}", REGIONS[server]));
            }
            Step::Heal { process, server } if self.is_cut[process][server] => {
                self.is_cut[process][server] = false;
                let home = REGIONS[self.processes[process].home()];
                self.tell(|_| format!("the process in {home} reaches {} again", REGIONS[server]));
            }
            Step::CutReplication(server) if postgres.servers[server].is_linked => {
                postgres.servers[server].is_linked = false;
                self.tell(|_| format!("{} receives nothing", REGIONS[server]));
            }
            Step::HealReplication(server) if !postgres.servers[server].is_linked => {
                postgres.servers[server].is_linked = true;
                self.tell(|_| format!("{} can receive again", REGIONS[server]));
            }
            Step::PauseReplay(server)
                if is_up(server)
                    && postgres.servers[server].is_replica
                    && !postgres.servers[server].is_paused =>
            {
                postgres.servers[server].is_paused = true;
                self.tell(|_| format!("{} pauses its replay", REGIONS[server]));
            }
            Step::ResumeReplay(server) if postgres.servers[server].is_paused => {
                postgres.servers[server].is_paused = false;
                self.tell(|_| format!("{} resumes its replay", REGIONS[server]));
            }
            Step::Lag { server, lag } if postgres.servers[server].lag != lag => {
                postgres.servers[server].lag = lag;
                self.tell(|_| format!("{} lags by {} s", REGIONS[server], seconds(lag)));
            }
            Step::SetClock { server, ahead } if postgres.servers[server].skew != ahead => {
                postgres.servers[server].skew = ahead;
                self.was_ahead |= ahead > 100;
                self.tell(|_| format!("the clock of {} is {ahead} ms ahead", REGIONS[server]));
            }
            Step::RestartProcess(process) => {
                let epoch = self.processes[process].epoch + 1;
                self.processes[process] = self.process(process, epoch);
                let home = REGIONS[process + 1];
                self.tell(|_| format!("the process in {home} is started anew"));
                self.begin_to_ask(process);
            }
            Step::Promote { server, stops_old }
                if is_up(server) && postgres.servers[server].is_replica =>
            {
                self.promote(server, stops_old);
            }
            Step::StartWritable { server, jump }
                if server != truth && postgres.servers[server].is_replica =>
            {
                // On a newer timeline and followed it would be a promotion.
                let is_upstream = |other| other != server && postgres.follows(other, server);
                let jump = if (0..SERVERS).any(is_upstream) { 0 } else { jump };
                postgres.restart_writable(server, jump);
                self.tell(|world| {
                    let at = world.postgres.name(world.postgres.servers[server].end);
                    format!("{} starts anew and takes writes: {at}", REGIONS[server])
                });
            }
            Step::Cascade { server, upstream }
                if server != upstream
                    && postgres.servers[server].is_replica
                    && postgres.streams_from(upstream, truth) =>
            {
                postgres.servers[server].upstream = upstream;
                self.tell(|_| format!("{} follows {}", REGIONS[server], REGIONS[upstream]));
            }
            Step::Restore { server, commits } if server != truth => {
                for other in 0..SERVERS {
                    if postgres.follows(other, server) {
                        postgres.servers[other].upstream = truth;
                    }
                }
                postgres.restore(server, commits);
                self.forget_ahead(server);
                self.tell(|world| {
                    let at = world.postgres.name(world.postgres.servers[server].end);
                    format!("{} is restored, and recovers: {at}", REGIONS[server])
                });
            }
            Step::EndRecovery(server)
                if is_up(server)
                    && postgres.servers[server].is_replica
                    && postgres.servers[server].upstream == server =>
            {
                postgres.promote(server);
                self.tell(|world| {
                    let at = world.postgres.name(world.postgres.servers[server].end);
                    format!("{} ends its recovery, and takes writes: {at}", REGIONS[server])
                });
            }
            Step::EmptyPrimary => {
                postgres.empty(truth);
                self.forget_evidence();
                self.tell(|_| format!("a database without rows comes in {}", REGIONS[truth]));
            }
            Step::SeeTimelines(sees) if postgres.sees_timelines != sees => {
                postgres.sees_timelines = sees;
                let may = if sees { "may" } else { "may not" };
                self.tell(|_| format!("the role {may} see on which timeline a replica is"));
            }
            Step::Rebuild(server) if server != truth => {
                postgres.rebuild(server, truth);
                self.forget_ahead(server);
                self.tell(|_| format!("{} is rebuilt from {}", REGIONS[server], REGIONS[truth]));
            }
            Step::PutBack { commits, is_older_timeline } => {
                // Copies take their time.
                postgres.crash(truth);
                self.tell(|_| format!("{} is stopped", REGIONS[truth]));
                self.wait(6000);
                self.postgres.put_back(truth, commits, is_older_timeline);
                self.forget_evidence();
                self.tell(|world| {
                    let at = world.postgres.name(world.postgres.servers[truth].end);
                    format!("{} is put back to an older copy: {at}", REGIONS[truth])
                });
            }
            Step::ReplaceAll => {
                postgres.replace_all(truth);
                self.forget_evidence();
                self.tell(|_| "a new database comes behind all URLs".to_owned());
            }
            _ => {}
        }
    }

    pub(super) fn promote(&mut self, server: usize, stops_old: bool) {
        let old = self.truth;
        let postgres = &mut self.postgres;
        // An operator promotes a replica of the primary, and no other.
        if !postgres.contains(postgres.servers[old].end, postgres.servers[server].end) {
            return;
        }
        if stops_old && postgres.servers[old].is_up {
            postgres.crash(old);
        }
        postgres.promote(server);
        for other in 0..SERVERS {
            if other != server && postgres.servers[other].is_replica {
                postgres.servers[other].upstream = server;
            }
        }
        self.set_truth(server);
        self.tell(|world| {
            let at = world.postgres.name(world.postgres.servers[server].end);
            let state = if stops_old { "stopped" } else { "left as it is" };
            format!("{} is promoted: {at}; {} is {state}", REGIONS[server], REGIONS[old])
        });
    }

    /// Mends everything, and sees whether reads and writes work for every visitor in every process.
    pub(in crate::simulation) fn settle(&mut self) {
        let truth = self.truth;
        self.tell(|_| "everything is mended".to_owned());
        self.is_cut = Default::default();
        self.postgres.sees_timelines = true;
        let skew = self.postgres.servers[truth].skew;
        for server in &mut self.postgres.servers {
            (server.is_linked, server.is_paused, server.lag) = (true, false, 0);
            server.skew = skew;
        }
        if !self.postgres.servers[truth].is_up {
            self.postgres.start(truth);
        }
        for server in 0..SERVERS {
            let is_well = self.postgres.servers[server].is_up
                && self.postgres.streams_from(server, truth)
                && self.is_promised(self.postgres.servers[server].end);
            if server != truth && !is_well {
                self.postgres.rebuild(server, truth);
            }
        }
        self.wait(RECOVERS + 2000);
        for round in 0..2 {
            for visitor in 0..VISITORS {
                for process in 0..PROCESSES {
                    let write = (round == 0).then_some(Write {
                        removes_files: 0,
                        is_synchronous: true,
                        is_unanswered: false,
                    });
                    let (allows_stale, work, late) = (false, 0, 0);
                    self.visit(Visit { visitor, process, allows_stale, write, work, late });
                    self.wait(1500);
                }
            }
        }
        self.wait(4000);
    }
}
