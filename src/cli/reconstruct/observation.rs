//! Which neurons were seen in a bin.

use std::collections::HashMap;

use clap::Args;
use glauber::model::Neuron;

use crate::cli::error::CliError;

/// What was seen of a bin.
#[derive(Debug, Clone, Args)]
#[group(id = "observation", multiple = true)]
pub(super) struct ObservationArgs {
    /// Neurons seen to fire in the bin, by identifier
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_negative_numbers = true)]
    active: Vec<i64>,
    /// Neurons seen not to fire in the bin
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_negative_numbers = true)]
    silent: Vec<i64>,
    /// Neurons that were not seen; all others that are not named are silent then
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_negative_numbers = true)]
    missing: Vec<i64>,
}

impl ObservationArgs {
    /// Whether nothing is said of any neuron.
    pub(super) fn is_empty(&self) -> bool {
        self.active.is_empty() && self.silent.is_empty() && self.missing.is_empty()
    }

    /// Indices of the neurons that were active and of those that were silent.
    pub(super) fn places(&self, neurons: &[Neuron]) -> Result<(Vec<u32>, Vec<u32>), CliError> {
        let places: HashMap<i64, u32> =
            neurons.iter().zip(0..).map(|(neuron, place)| (neuron.id, place)).collect();
        let find = |argument: &'static str, ids: &[i64]| -> Result<Vec<u32>, CliError> {
            let place = |id: &i64| {
                places.get(id).copied().ok_or_else(|| CliError::Argument {
                    argument,
                    problem: format!("no neuron has the identifier {id}: there are {}", known(neurons)),
                })
            };
            ids.iter().map(place).collect()
        };
        let (active, mut silent) = (find("--active", &self.active)?, find("--silent", &self.silent)?);
        let missing = find("--missing", &self.missing)?;
        let named_twice = missing.iter().find(|place| active.contains(place) || silent.contains(place));
        if let Some(&place) = named_twice {
            let problem = format!("neuron {} is named as observed as well", neurons[place as usize].id);
            return Err(CliError::Argument { argument: "--missing", problem });
        }
        if let Some(&place) = active.iter().find(|place| silent.contains(place)) {
            let problem = format!("neuron {} is named under --active as well", neurons[place as usize].id);
            return Err(CliError::Argument { argument: "--silent", problem });
        }
        if !missing.is_empty() {
            let all = 0..neurons.len() as u32;
            silent.extend(all.filter(|place| !missing.contains(place) && !active.contains(place)));
        }
        Ok((active, silent))
    }
}

/// The identifiers there are, in short.
fn known(neurons: &[Neuron]) -> String {
    const SHOWN: usize = 12;
    let ids: Vec<String> = neurons.iter().take(SHOWN).map(|neuron| neuron.id.to_string()).collect();
    let more = if neurons.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", ids.join(", "))
}
