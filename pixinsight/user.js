// Make masters for a user who runs a script, and leave their records.
//
// The script does by itself what the workflow does before and after PixInsight runs, as far as it
// can. It waits for no other process.

// Make a master and its record. Errors leave the previous master and its record as they were.
function runForUser(job) {
   var begun = Date.now(), result, log;
   requireReady(job);
   makeFolder(folderOf(job.part));
   try {
      console.beginLog();
      try {
         result = makeMaster(job, function (step) { console.noteln("* " + step); });
      } finally {
         log = endLog();
      }
      requireScaledDark(job, result.k);
      // Old numbers must not be next to new pixels, so the record goes before the new master comes.
      removeFile(job.master);
      removeFile(job.recordFile);
      moveFile(job.part, job.master);
   } finally {
      removeFile(job.part);
   }
   // Last: a record must not describe a master that is not in place yet.
   writeRecord(job, result, warningsIn(log), (Date.now() - begun) / 1000);
   console.noteln("* wrote " + job.master);
}

// What must be true before PixInsight works on a master; otherwise say what to do.
function requireReady(job) {
   if (job.problem !== null)
      throw new Error("PixInsight cannot make this master: " + job.problem);
   job.used.forEach(function (used) {
      var remedy = used.script === null ? "run 'snakemake scripts' again"
                                        : "run its script first: " + used.script;
      if (!File.exists(used.path))
         throw new Error("its " + used.kind + " " + used.path + " is missing: " + remedy);
      if (used.digest !== null && recordOf(used.recordFile).digest !== used.digest)
         throw new Error("its " + used.kind + " " + used.path + " was made by another program, or "
                         + "of other frames or settings: " + remedy);
   });
   job.frames.forEach(function (frame) {
      if (!File.exists(frame))
         throw new Error(frame + " is missing: run 'snakemake scripts' again");
   });
}

// Without enough warm pixels, PixInsight subtracts a dark as it is, even of another exposure.
function requireScaledDark(job, factors) {
   if (job.mustScaleDark && factors.some(function (k) { return k === 1; }))
      throw new Error("the dark of another exposure cannot be scaled to these flats, and would be "
                      + "wrong: make this master with 'snakemake masters'");
}

function warningsIn(log) {
   var found = [];
   log.split("\n").forEach(function (line) {
      var warning = /^(?:\[[\d: .\-]+\] )?\*\* Warning:\s*(.+)$/.exec(line);
      if (warning !== null && found.indexOf(warning[1]) < 0)
         found.push(warning[1]);
   });
   return found.map(function (text) { return { kind: "other", text: text }; });
}

// The record of a master; an empty object if there is none.
function recordOf(path) {
   try {
      return JSON.parse(File.readTextFile(path));
   } catch (error) {
      return {};
   }
}

function writeRecord(job, result, warnings, seconds) {
   var record = job.record;
   record.rejected_low = record.rejected_high = 0;
   record.frames.forEach(function (frame, i) {
      frame.low = result.rejected[i][0];
      frame.high = result.rejected[i][1];
      frame.k = result.k.length > 0 ? result.k[i] : null;
      record.rejected_low += frame.low;
      record.rejected_high += frame.high;
   });
   for (var name in result.pixels)
      record[name] = result.pixels[name];
   record.seconds = seconds;
   record.versions.PixInsight = coreVersion();
   record.warnings = record.warnings.concat(warnings, levelWarnings(job, result.pixels));
   record.warning_count = record.warnings.length;
   record.master_bytes = fileSize(job.master);
   if (record.master_bytes === null)
      delete record.master_bytes;
   // Times in nanoseconds are text here: JavaScript's numbers have too few digits.
   var text = asciiJson(record, 1).replace(/"mtime_ns": "(\d+)"/g, '"mtime_ns": $1');
   writeWhole(job.recordFile, text);
}

function levelWarnings(job, pixels) {
   var isWrong = job.type === "flat" ? pixels.minimum <= job.level.limit * pixels.median
                                     : pixels.median > job.level.limit;
   var text = job.level.text.replace("%1", (65535 * pixels.median).toFixed(0));
   return isWrong ? [{ kind: job.level.kind, text: text }] : [];
}
