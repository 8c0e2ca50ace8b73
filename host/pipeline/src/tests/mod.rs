mod fakes;

mod breaches;
mod crashes;
mod empty_batches;
mod growth;
mod kills;
mod model;
mod offset;
mod offset_log;
mod parallel;
mod reset;
mod retries;
mod runners;
mod seed_flaws;
mod start;
mod stops;
mod triggers;
