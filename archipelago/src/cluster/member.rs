//! One region's database: its two pools, and its health.

use std::fmt;
use std::sync::Arc;

use super::traffic::{Traffic, TrafficCounters};
use crate::pool::{IoThread, Pool, PoolState, Slots};
use crate::region::{Reason, RegionInfo, ServedBy};
use crate::server::{Health, HealthRecord, Leadership};
use crate::settings::{Access, Settings, SettingsError};
use crate::timing::QueryTimes;

/// A region's database, as this instance uses it. A generated repo wraps one.
pub struct Member {
    info: &'static RegionInfo,
    is_off: bool,
    pub(crate) health: Arc<HealthRecord>,
    pub(crate) traffic: TrafficCounters,
    pub(crate) query_times: QueryTimes,
    pub(crate) reading: Pool,
    /// Used while this is the primary, which any member may become.
    pub(crate) writing: Pool,
}

impl Member {
    pub(super) fn new(
        info: &'static RegionInfo,
        settings: &Settings,
        leadership: &Arc<Leadership>,
        slots: &Arc<Slots>,
        io: &Arc<IoThread>,
    ) -> Result<Self, SettingsError> {
        let health = Arc::new(HealthRecord::new(info.code, leadership.clone()));
        let pool =
            |access| Pool::new(info, access, settings, health.clone(), slots.clone(), io.clone());
        let (reading, writing) = (pool(Access::Read)?, pool(Access::Write)?);
        Ok(Self {
            info,
            is_off: settings.is_off(info.code),
            reading,
            writing,
            health,
            traffic: TrafficCounters::default(),
            query_times: QueryTimes::new(info.code),
        })
    }

    /// The region as the generated code lists it.
    #[must_use]
    pub fn info(&self) -> &'static RegionInfo {
        self.info
    }

    /// Whether it is a further server of its region without a URL, which nothing uses.
    pub(crate) fn is_off(&self) -> bool {
        self.is_off
    }

    /// The health of the database. Asks no server.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.health()
    }

    /// What it has served this instance.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic.counts()
    }

    /// The connections for reading.
    #[must_use]
    pub fn reading(&self) -> &Pool {
        &self.reading
    }

    /// The connections for writing: none while this is not the primary.
    #[must_use]
    pub fn writing(&self) -> &Pool {
        &self.writing
    }

    /// The connections of both pools.
    #[must_use]
    pub fn state(&self) -> PoolState {
        let (reading, writing) = (self.reading.state(), self.writing.state());
        PoolState {
            connections: reading.connections + writing.connections,
            idle: reading.idle + writing.idle,
            waiting: reading.waiting + writing.waiting,
            size: reading.size,
            statements: reading.statements + writing.statements,
        }
    }

    /// Whether the monitor checks it every second: it is this instance's own, or the primary, or
    /// has been asked once.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.health.is_watched()
    }

    /// What is known of an answer from here before the database has reported its role.
    pub(crate) fn served_by(&self, reason: Reason) -> ServedBy {
        ServedBy { region: self.info.code, role: self.info.role, reason, stale: None }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { info, reading, .. } = self;
        f.debug_struct("Member")
            .field("region", &info.code)
            .field("url", &reading.url())
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}
