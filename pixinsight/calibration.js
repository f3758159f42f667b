// Flats: minus the bias, minus k times the dark, by ImageCalibration.

// What is not in the configuration. A master's *Enabled is true by default: what is absent must
// be switched off. With existing files kept, equal names from different folders get a suffix, so
// the frames' paths are read from the process and never predicted. A PEDESTAL card is no reason
// to subtract: the masters are made with the pedestal in, so it cancels.
var CALIBRATION = {
   masterFlatEnabled: false,
   calibrateBias: false,
   calibrateFlat: false,
   overscanEnabled: false,
   cosmeticCorrectionLow: false,
   cosmeticCorrectionHigh: false,
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

// Calibrate the frames of a job.
// Returns [{path: of the calibrated frame, k: of its dark, null where it was not scaled}].
function calibrate(job) {
   var process = new ImageCalibration;
   setParameters(process, ImageCalibration, CALIBRATION);
   setParameters(process, ImageCalibration, job.calibration.parameters);
   setCalibrationMasters(process, job.calibration);
   process.outputDirectory = job.calibration.directory;
   process.targetFrames = job.frames.map(function (path) { return [true, path]; });
   if (!File.directoryExists(job.calibration.directory))
      File.createDirectory(job.calibration.directory, true);
   execute(process, "ImageCalibration");
   return calibratedFrames(process.outputData, job);
}

// The master dark still contains its bias: with a master bias it is calibrated first, else the
// bias would be subtracted twice.
function setCalibrationMasters(process, calibration) {
   process.masterBiasEnabled = calibration.bias !== null;
   process.masterBiasPath = calibration.bias || "";
   process.masterDarkEnabled = calibration.dark !== null;
   process.masterDarkPath = calibration.dark || "";
   process.calibrateDark = calibration.bias !== null && calibration.dark !== null;
   process.optimizeDarks = calibration.optimizeDarks;
}

// ImageCalibration is satisfied when one frame succeeded: every row is looked at.
function calibratedFrames(rows, job) {
   return job.frames.map(function (frame, i) {
      var path = i < rows.length ? rows[i][0] : "";
      if (!path || !File.exists(path))
         throw new Error("ImageCalibration wrote no calibrated frame of " + frame);
      return { path: path, k: job.calibration.optimizeDarks ? rows[i][1] : null };
   });
}

function removeFrames(frames) {
   frames.forEach(function (frame) {
      if (File.exists(frame.path))
         File.remove(frame.path);
   });
}
