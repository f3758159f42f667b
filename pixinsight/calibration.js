// Calibration of flats by ImageCalibration: minus the bias, minus k times the dark.

// Parameters that are not in the configuration. The *Enabled of a master is true by default, so it
// must be set to false if there is no such master. Existing files are kept, and equal names from
// different folders get a suffix: so the paths of calibrated frames are read from the process. The
// PEDESTAL card is ignored: the masters contain the same pedestal, so it cancels.
var CALIBRATION = {
   masterFlatEnabled: false,
   calibrateBias: false,
   calibrateFlat: false,
   overscanEnabled: false,
   pedestalMode: "Literal",
   pedestal: 0,
   outputPedestalMode: "OutputPedestal_Literal",
   outputSampleFormat: "f32",
   outputPrefix: "",
   outputPostfix: "_c",
   overwriteExistingFiles: false,
   onError: "Continue",
   evaluateNoise: false,
   evaluateSignal: false
};

// Parameters that PixInsight has since 1.9.0.
var NEWER_CALIBRATION = {
   cosmeticCorrectionLow: false,
   cosmeticCorrectionHigh: false
};

// Calibrate the frames of a job.
// Returns [{path: of the calibrated frame, k: factor of the dark, null if it was not scaled}].
function calibrate(job) {
   var process = new ImageCalibration;
   setParameters(process, ImageCalibration, CALIBRATION);
   setKnownParameters(process, ImageCalibration, NEWER_CALIBRATION);
   setParameters(process, ImageCalibration, job.calibration.parameters);
   setCalibrationMasters(process, job.calibration);
   process.outputDirectory = job.calibration.directory;
   process.targetFrames = job.frames.map(function (path) { return [true, path]; });
   makeFolder(job.calibration.directory);
   execute(process, "ImageCalibration");
   return calibratedFrames(process.outputData, job);
}

// The master dark contains the bias: with a master bias it is calibrated first, otherwise the bias
// would be subtracted twice.
function setCalibrationMasters(process, calibration) {
   process.masterBiasEnabled = calibration.bias !== null;
   process.masterBiasPath = calibration.bias || "";
   process.masterDarkEnabled = calibration.dark !== null;
   process.masterDarkPath = calibration.dark || "";
   process.calibrateDark = calibration.bias !== null && calibration.dark !== null;
   process.optimizeDarks = calibration.optimizeDarks;
}

// ImageCalibration succeeds if one frame succeeds, so every row is checked.
function calibratedFrames(rows, job) {
   return job.frames.map(function (frame, i) {
      var path = i < rows.length ? rows[i][0] : "";
      if (!path || !File.exists(path))
         throw new Error("ImageCalibration could not calibrate " + frame);
      return { path: path, k: job.calibration.optimizeDarks ? Number(rows[i][1]) : null };
   });
}

function removeFrames(frames) {
   frames.forEach(function (frame) { removeFile(frame.path); });
}
