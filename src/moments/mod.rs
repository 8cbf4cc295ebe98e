//! Exact counts and the moments they give.
mod counts;
use crate::model::Lags;
pub use counts::{Counts, LagCounts};

/// Moments of the transitions of one lag.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// `m⁻`, shape `(n_neurons)`: magnetization of the sender side.
    pub magnetization_sender: ndarray::Array1<f64>,
    /// `m⁺`, shape `(n_neurons)`: magnetization of the receiver side.
    pub magnetization_receiver: ndarray::Array1<f64>,
    /// `C`, connected equal-time correlations.
    pub equal_time: ndarray::Array2<f64>,
    /// `D`, connected delayed correlations
    pub delayed: ndarray::Array2<f64>,
}
impl Counts {
    /// magnetization over all observed bins, `(n_neurons)`
    pub fn magnetization(&self) -> ndarray::Array1<f64> {
        let _ = Lags::default();
        todo!()
    }
    /// C, `(n_neurons, n_neurons)` (lag-1 sender bins)
    pub fn equal_time_correlations(&self) -> ndarray::Array2<f64> {
        todo!()
    }
}
impl LagCounts {
    /// m⁻
    pub fn magnetization_sender(&self) -> ndarray::Array1<f64> {
        todo!()
    }
    /// m⁺
    pub fn magnetization_receiver(&self) -> ndarray::Array1<f64> {
        todo!()
    }
    /// D(lag), row = receiver
    pub fn delayed_correlations(&self) -> ndarray::Array2<f64> {
        todo!()
    }
}
