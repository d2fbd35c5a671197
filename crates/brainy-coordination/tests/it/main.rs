//! The log as its users see it: handles on one store, races, faults, crashes.

#[cfg(test)]
mod callers;
#[cfg(test)]
mod collecting;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod driving;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod handle;
#[cfg(test)]
mod helping;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod incidents;
#[cfg(test)]
mod incumbent;
#[cfg(test)]
mod lease;
#[cfg(test)]
mod lock_limits;
#[cfg(test)]
mod making;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod register;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod wake;
