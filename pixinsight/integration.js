// Integration of frames by ImageIntegration.

// Parameters that are not in the configuration. The cache would be shared with the user's own
// work. The evaluation of signal and noise needs stars, and calibration frames have none.
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

// Combine images. Returns {images: ids of the new windows, the master first,
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
   return { images: newImages(process), rejected: rejectedSamples(process.imageData) };
}

function newImages(process) {
   var ids = [process.integrationImageId];
   if (process.generateRejectionMaps)
      ids.push(process.lowRejectionMapImageId, process.highRejectionMapImageId);
   return ids.filter(function (id) { return id !== ""; });
}

// A row of imageData has three weights, then the rejected low and rejected high samples of up to
// three channels; raw frames have one channel. In V8 the counts are BigInt, which JSON cannot write.
function rejectedSamples(rows) {
   return rows.map(function (row) { return [Number(row[3]), Number(row[6])]; });
}
