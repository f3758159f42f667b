// Make one master from its job: calibrate (flats with a bias or dark), integrate, write, report.

// Make the master at job.part. Returns the numbers of rejected samples, the factors of the dark
// and, for a record, the statistics of the master's pixels.
function makeMaster(job, progress) {
   var calibrated = [], images = [], windowsBefore = openWindowIds();
   try {
      if (job.calibration !== null) {
         progress("calibrating " + job.frames.length + " frames");
         calibrated = calibrate(job);
      }
      progress("integrating " + job.frames.length + " frames");
      var integrated = integrate(job, job.calibration === null ? job.frames : pathsOf(calibrated));
      images = integrated.images;
      progress("writing the master");
      writeMaster(job, images, job.part);
      return {
         rejected: integrated.rejected,
         k: calibrated.map(function (f) { return f.k; }),
         pixels: job.record ? pixelStatistics(findWindow(images[0]).mainView.image) : undefined
      };
   } finally {
      closeWindows(images, windowsBefore);
      if (job.calibration !== null && !job.calibration.keep)
         removeFrames(calibrated);
   }
}

function pixelStatistics(image) {
   return {
      mean: Number(image.mean()),
      median: Number(image.median()),
      minimum: Number(image.minimum()),
      maximum: Number(image.maximum())
   };
}

function pathsOf(frames) {
   return frames.map(function (frame) { return frame.path; });
}
