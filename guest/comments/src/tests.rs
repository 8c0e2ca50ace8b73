//! The rules of the contract and the flaws of the seed, against an API that is a closure.

mod flaws;
mod latest;
mod reading;
mod remote;
mod repeats;
mod rules;
