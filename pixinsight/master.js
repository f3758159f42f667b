// Write the file of the master and its header; every step is checked.

// The values of FITS keywords are text, with strings in quotes, as in the job. Only the time of
// creation is not in the job.
function masterKeywords(job) {
   return job.keywords.map(function (card) {
      var value = card[1] === null ? "'" + new Date().toISOString().slice(0, 19) + "'" : card[1];
      return new FITSKeyword(card[0], value, card[2]);
   });
}

// Names of the images in a file, as WBPP has them. The ids of windows differ if others are open.
var IMAGE_NAMES = ["integration", "rejection_low", "rejection_high"];

// Write the images of these windows, the master first, to one file.
function writeMaster(job, ids, path) {
   findWindow(ids[0]).keywords = masterKeywords(job);
   var format = new FileFormat(job.extension, false, true);
   if (format.isNull)
      throw new Error("this PixInsight cannot write " + job.extension + " files");
   var file = new FileFormatInstance(format);
   if (file.isNull)
      throw new Error("PixInsight could not open its " + job.extension + " file format");
   check(file.create(path, job.outputHints, ids.length), "create", path);
   try {
      ids.forEach(function (id, i) {
         writeImage(file, format, findWindow(id), IMAGE_NAMES[i], path);
      });
   } finally {
      var isClosed = file.close();
   }
   check(isClosed, "close", path);
}

function writeImage(file, format, imageWindow, name, path) {
   var description = new ImageDescription;
   description.bitsPerSample = 32;
   description.ieeefpSampleFormat = true;
   if ("imageType" in description && "imageType" in imageWindow)
      description.imageType = imageWindow.imageType;
   check(file.setOptions(description), "set the options of", path);
   file.keywords = imageWindow.keywords;
   if (format.canStoreProperties && format.supportsViewProperties)
      imageWindow.mainView.exportProperties(file);
   check(file.setImageId(name), "name the image in", path);
   check(file.writeImage(imageWindow.mainView.image), "write the image into", path);
}

function check(succeeded, what, path) {
   if (succeeded !== true)
      throw new Error("PixInsight could not " + what + " " + path);
}
