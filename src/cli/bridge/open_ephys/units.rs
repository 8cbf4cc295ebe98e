//! Units by number: a spike then takes few bytes, and names are compared once.

use std::collections::HashMap;

use super::facts::Fatal;
use super::message::Unit;

/// Different units told apart.
pub(super) const UNITS_MAX: usize = 100_000;

/// The units that have come, numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Units {
    units: Vec<Unit>,
    numbers: HashMap<Unit, u32>,
}

impl Units {
    /// The unit of that number.
    pub(super) fn get(&self, number: u32) -> Option<&Unit> {
        self.units.get(number as usize)
    }

    /// The number of the unit, a new one if it has none.
    ///
    /// # Errors
    /// [`Fatal::TooManyUnits`] instead of taking ever more memory.
    pub(super) fn number_of(&mut self, unit: Unit) -> Result<u32, Fatal> {
        if let Some(&number) = self.numbers.get(&unit) {
            return Ok(number);
        }
        if self.units.len() == UNITS_MAX {
            return Err(Fatal::TooManyUnits);
        }
        let number = self.units.len() as u32;
        self.units.push(unit.clone());
        self.numbers.insert(unit, number);
        Ok(number)
    }
}
