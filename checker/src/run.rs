//! One run: clients and faults for a while, then every fault is undone and the end is recorded.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::BoxError;
use crate::check::{Analysis, MARGIN, check};
use crate::client::{Client, ClientContext};
use crate::deployment::{Deployment, InstanceConfig, MAX_LAG, regions};
use crate::history::{History, Timelines};
use crate::nemesis::{Fault, Nemesis, Schedule};
use crate::observer::{detect_stalls, sample_replay};
use crate::operator::Operator;
use crate::workload::Workload;

/// What a run does.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The seed of the clients' choices.
    pub seed: u64,
    /// The faults.
    pub schedule: Schedule,
    /// How long clients go on after the last fault is undone: its recovery belongs to the run.
    pub recovery: Duration,
    /// The number of concurrent clients.
    pub clients: u32,
    /// How they behave.
    pub workload: Workload,
    /// The settings of the app.
    pub config: InstanceConfig,
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Everything that it recorded.
    pub history: History,
    /// What the check found in it.
    pub analysis: Analysis,
    /// Faults that this machine cannot make, each with the reason.
    pub skipped: Vec<(Fault, String)>,
}

impl RunPlan {
    /// The plan that a seed stands for: `steps` steps of random faults and roaming clients, with
    /// every safeguard on.
    #[must_use]
    pub fn random(seed: u64, steps: usize, clients: u32) -> Self {
        Self {
            seed,
            schedule: Schedule::random(seed, steps, &regions()),
            recovery: MARGIN,
            clients,
            workload: Workload::Roaming,
            config: InstanceConfig { max_lag: MAX_LAG, disabled: vec![] },
        }
    }

    /// The command that repeats a [`random`](Self::random) plan.
    #[must_use]
    pub fn replay_command(&self) -> String {
        let Self { seed, schedule, clients, .. } = self;
        let steps = schedule.steps.len();
        format!(
            "cargo run --release -p archipelago-checker -- \
             --seed {seed} --steps {steps} --clients {clients}"
        )
    }

    /// Executes the plan on a deployment of its own.
    ///
    /// # Errors
    /// The deployment does not start, or the lab cannot apply a fault. Such a run shows nothing.
    pub async fn execute(&self) -> Result<Run, BoxError> {
        // The app needs a TLS provider even where no connection is encrypted. If the program has
        // chosen one already, that stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let deployment = Deployment::start(self.config.clone()).await?;
        let recorded = self.record(&deployment).await;
        let stopped = deployment.stop().await;
        let (history, skipped) = recorded?;
        stopped?;
        Ok(Run { analysis: check(&history), history, skipped })
    }

    async fn record(
        &self,
        deployment: &Deployment,
    ) -> Result<(History, Vec<(Fault, String)>), BoxError> {
        let (stop_sender, stop) = watch::channel(false);
        let start = Instant::now();
        let regions: Vec<String> = regions().into_iter().map(str::to_owned).collect();
        let context = Arc::new(ClientContext {
            url: deployment.url(),
            regions: regions.clone(),
            workload: self.workload,
            start,
            created: Mutex::default(),
            stop: stop.clone(),
        });
        let clients = (1..=self.clients)
            .map(|id| Ok(tokio::spawn(Client::new(id, self.seed, &context)?.run())))
            .collect::<Result<Vec<_>, BoxError>>()?;
        let stalls = tokio::spawn(detect_stalls(start, stop.clone()));
        let nemesis = async {
            let record = Nemesis::new(deployment, start).execute(&self.schedule).await;
            if record.is_ok() {
                sleep(self.recovery).await;
            }
            stop_sender.send_replace(true);
            record
        };
        let operator = async {
            match self.workload {
                Workload::Roaming | Workload::Hopping => {
                    Operator::new(&deployment.world, &context).run().await
                }
                // Its commits would also bring replicas forward.
                _ => vec![],
            }
        };
        let samples = sample_replay(&deployment.world, start, stop.clone());
        let (record, samples, mut operations) = tokio::join!(nemesis, samples, operator);
        let stalls = stalls.await?;
        for client in join_all(clients).await {
            operations.extend(client?);
        }
        operations.sort_by_key(|operation| operation.start);
        let record = record?;
        deployment.world.catch_up().await?;
        let last = deployment.timeline_history().await?;
        let history = History {
            operations,
            faults: record.faults,
            resets: record.resets,
            samples,
            stalls,
            timelines: Timelines::parse(&last, &record.replaced, record.promotions),
            initial_primary: regions.first().cloned().unwrap_or_default(),
            regions,
            final_state: deployment.registers().await?,
            max_lag: self.config.max_lag,
        };
        Ok((history, record.skipped))
    }
}

impl Run {
    /// Every violation with the lines of its operations; empty if there is none.
    #[must_use]
    pub fn violations(&self) -> String {
        let violations = self.analysis.violations.iter();
        violations.map(|violation| violation.explain(&self.history) + "\n").collect()
    }
}
