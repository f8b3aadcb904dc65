//! Lines against peers that misbehave: over memory with paused time, over real sockets, and over a pair of
//! pseudo terminals.

mod adversary;
