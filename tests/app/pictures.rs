//! The pictures of the README, in docs/images: made with `SCREENSHOTS=1` by the tests of the maps.

use std::fs::{self, File};
use std::path::PathBuf;

use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use chromiumoxide::cdp::browser_protocol::page::{
    CaptureScreenshotFormat, CaptureScreenshotParams, Viewport,
};
use png::{BitDepth, ColorType};

use super::axe::colours;
use super::visitor::Visitor;

/// The pictures of the README, if they are wanted.
pub struct Pictures<'a> {
    visitor: &'a Visitor,
    folder: Option<PathBuf>,
    frames: Vec<Vec<u8>>,
}

impl<'a> Pictures<'a> {
    pub fn begin(visitor: &'a Visitor) -> Self {
        let wanted = std::env::var_os("SCREENSHOTS").is_some();
        let folder = wanted.then(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/images"));
        Self { visitor, folder, frames: vec![] }
    }

    /// One picture of the whole map and the first cards.
    pub async fn picture(&self, name: &str, is_dark: bool) {
        let Some(folder) = &self.folder else { return };
        self.visitor.page.execute(colours(is_dark)).await.unwrap();
        fs::write(folder.join(name), self.capture(Some(1000.0), 1.0).await).unwrap();
        self.visitor.page.execute(colours(false)).await.unwrap();
    }

    /// Frames of the animation, each once a promise in JavaScript has come true.
    pub async fn frames(&mut self, count: usize, next: &str) {
        for _ in 0..count {
            if self.folder.is_some() {
                self.visitor.page.evaluate_function(next).await.unwrap();
                self.frames.push(self.capture(None, 0.6).await);
            }
        }
    }

    /// The part of the page at the top; of the map alone where no height is given.
    async fn capture(&self, height: Option<f64>, scale: f64) -> Vec<u8> {
        let size = SetDeviceMetricsOverrideParams::new(1280, 1000, 1.0, false);
        self.visitor.page.execute(size).await.unwrap();
        self.visitor.holds("(scrollTo(0, 0), true)").await;
        let map = "() => { const { x, y, width, height } = document.querySelector('.map').getBoundingClientRect(); return [x, y, width, height]; }";
        let map = self.visitor.page.evaluate_function(map).await.unwrap();
        let [x, y, width, high]: [f64; 4] = map.into_value().unwrap();
        let clip = match height {
            Some(height) => Viewport { x: 0.0, y: 0.0, width: 1280.0, height, scale },
            None => Viewport { x, y, width, height: high, scale },
        };
        let picture = CaptureScreenshotParams::builder().format(CaptureScreenshotFormat::Png);
        self.visitor.page.screenshot(picture.clip(clip).build()).await.unwrap()
    }

    /// Writes the frames as an animated PNG, which loops, with so many milliseconds for each.
    pub fn animate(&self, name: &str, milliseconds: u16) {
        let Some(folder) = &self.folder else { return };
        let decoded: Vec<_> = self.frames.iter().map(|frame| decode(frame)).collect();
        let (width, height, color, _) = &decoded[0];
        let file = File::create(folder.join(name)).unwrap();
        let mut encoder = png::Encoder::new(file, *width, *height);
        encoder.set_color(*color);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        encoder.set_animated(decoded.len().try_into().unwrap(), 0).unwrap();
        encoder.set_frame_delay(milliseconds, 1000).unwrap();
        let mut writer = encoder.write_header().unwrap();
        for (_, _, _, pixels) in &decoded {
            writer.write_image_data(pixels).unwrap();
        }
        writer.finish().unwrap();
    }
}

fn decode(picture: &[u8]) -> (u32, u32, ColorType, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    pixels.truncate(frame.buffer_size());
    (frame.width, frame.height, frame.color_type, pixels)
}
