//! The options of `load`, and the workloads that the client sends.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};

use crate::contenders::Contender;
use crate::wrk::{Load, Visitors};

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How many turns each contender has.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..).map(usize::from))]
    pub rounds: usize,
    /// How long each turn is measured, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// How long each turn warms up before that, in seconds, so that connections are open.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub warm_up: u64,
    /// Connections of the client, each with one request at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// How many users there are.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// What the requests are like.
    #[command(flatten)]
    pub visitors: Visitors,
    /// Only these workloads.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Workload::value_variants().to_vec(), hide_default_value = true)]
    pub only: Vec<Workload>,
    /// Only these contenders.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Contender::value_variants().to_vec(), hide_default_value = true)]
    pub contenders: Vec<Contender>,
    /// Compare the app of this build with that of another build of archipelago-benches, in pairs.
    ///
    /// There are as many pairs as rounds.
    #[arg(long, value_name = "BINARY", conflicts_with = "contenders")]
    pub against: Option<PathBuf>,
    /// Also write all figures to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Options {
    /// The load of a turn.
    #[must_use]
    pub fn load(&self, workload: Workload) -> Load<'static> {
        let Self { seconds, connections, users, visitors, .. } = *self;
        Load { script: workload.name(), seconds, connections, users, visitors }
    }
}

/// What the client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// The page of one user at random.
    User,
    /// The first page of the list.
    List,
    /// A form that creates a user.
    Create,
    /// Nineteen of twenty requests are for one user's page, and one creates a user.
    Mixed,
}

impl Workload {
    /// The name in arguments, which is also that of the wrk script.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::List => "list",
            Self::Create => "create",
            Self::Mixed => "mixed",
        }
    }

    /// The requests in words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::User => "GET /users/{id}, one user at random",
            Self::List => "GET /users, the first page of the list",
            Self::Create => "POST /users, one more user",
            Self::Mixed => "95 % GET /users/{id}, 5 % POST /users",
        }
    }
}
