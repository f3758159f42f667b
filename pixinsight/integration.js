// Frames into one image, by ImageIntegration.

// What is not in the configuration. The cache would be shared with the person's own work;
// signal and noise evaluation look for stars, of which calibration frames have none.
var INTEGRATION = {
   evaluateSNR: false,
   useCache: false,
   subtractPedestals: false,
   generate64BitResult: false,
   generateIntegratedImage: true,
   generateDrizzleData: false,
   closePreviousImages: false,
   useROI: false,
   largeScaleClipLow: false,
   largeScaleClipHigh: false,
   autoMemorySize: true,
   autoMemoryLimit: 0.75,
   showImages: false
};

// Combine images. Returns {images: ids of the windows made, the master first,
// rejected: [[low, high] of each image]}.
function integrate(job, paths) {
   var process = new ImageIntegration;
   process.images = paths.map(function (path) { return [true, path, "", ""]; });
   setParameters(process, ImageIntegration, INTEGRATION);
   setParameters(process, ImageIntegration, job.integration);
   setKnownParameters(process, ImageIntegration, {
      overrideImageType: true,
      imageType: job.imageType,
      generateSlopeMaps: false
   });
   execute(process, "ImageIntegration");
   return { images: madeImages(process), rejected: rejectedSamples(process.imageData) };
}

function madeImages(process) {
   var ids = [process.integrationImageId];
   if (process.generateRejectionMaps)
      ids.push(process.lowRejectionMapImageId, process.highRejectionMapImageId);
   return ids.filter(function (id) { return id !== ""; });
}

// A row of imageData is three weights, then rejected low and rejected high samples of (up to)
// three channels; raw frames have one.
function rejectedSamples(rows) {
   return rows.map(function (row) { return [row[3], row[6]]; });
}
