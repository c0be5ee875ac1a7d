//! One region's database: its two pools, and how it is.

use std::fmt;
use std::sync::Arc;

use super::health::{Health, HealthRecord};
use super::lineage::Lineage;
use crate::route::hedge::Hedge;
use crate::{Access, Pool, PoolState, RegionInfo, SettingError, Settings};

/// A region's database, as this instance uses it. What a generated repo stands on.
pub struct Member {
    info: &'static RegionInfo,
    pub(crate) health: Arc<HealthRecord>,
    pub(crate) reading: Pool,
    /// Only the primary takes writes; a promotion can make a primary of any.
    pub(crate) writing: Pool,
    pub(crate) hedge: Hedge,
}

impl Member {
    pub(super) fn new(
        info: &'static RegionInfo,
        settings: &Settings,
        lineage: &Arc<Lineage>,
    ) -> Result<Self, SettingError> {
        let health = Arc::new(HealthRecord::new(info.code, lineage.clone()));
        Ok(Self {
            info,
            reading: Pool::new(info, Access::Read, settings, health.clone())?,
            writing: Pool::new(info, Access::Write, settings, health.clone())?,
            health,
            hedge: Hedge::default(),
        })
    }

    /// The region as the generated code lists it.
    #[must_use]
    pub fn info(&self) -> &'static RegionInfo {
        self.info
    }

    /// How the database is. Asks nobody.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.now()
    }

    /// The connections for reading.
    #[must_use]
    pub fn reading(&self) -> &Pool {
        &self.reading
    }

    /// The connections for writing: none where this is not the primary.
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
            size: reading.size,
        }
    }

    /// Whether the monitor looks at it every second: it is this instance's own, or the primary, or has been asked once.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.health.is_watched()
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
