//! The names of the themes, as a workspace file, the command line and the palette know them.

use super::words;

words! {
    /// How the screens look.
    pub enum ThemeName {
        /// Deep navy and brass; needs 24-bit colour.
        Default = "default",
        /// Dark ink on paper; needs 24-bit colour.
        Light = "light",
        /// Black, white and pure hues.
        HighContrast = "high-contrast",
        /// Blue and orange instead of green and red (after Okabe and Ito); needs 24-bit colour.
        ColourBlindSafe = "colour-blind-safe",
        /// The terminal's own sixteen colours.
        Terminal = "terminal",
        /// No colour at all: bold, dim, underline and reverse.
        Mono = "mono",
    }
}
