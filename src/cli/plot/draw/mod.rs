//! Figures as shapes on a page, and pages as bytes.

mod axes;
mod coupling_map;
mod letters;
mod page;
mod prediction;
mod raster;
mod render;
mod scene;
mod score;

pub(crate) use coupling_map::draw as coupling_map;
pub(crate) use prediction::draw as prediction;
pub(crate) use raster::draw as raster;
pub(crate) use render::{png, svg};
pub(crate) use scene::Scene;
pub(crate) use score::draw as score;
