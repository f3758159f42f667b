// Make all masters that are not up to date, for the user who runs this script.

function makeAll(jobs) {
   var begun = Date.now(), made = [], kept = 0, failed = [];
   jobs.forEach(function (job, i) {
      var title = "[" + (i + 1) + "/" + jobs.length + "] " + job.title;
      if (isUpToDate(job, made)) {
         console.noteln(title + ": up to date");
         kept++;
         return;
      }
      console.noteln(title + ": " + job.frames.length + " frames");
      try {
         runForUser(job);
         made.push(job.master);
      } catch (error) {
         console.criticalln(title + " failed: " + error.message);
         failed.push(job.title + ": " + error.message);
      }
   });
   console.noteln("Masters: " + made.length + " made, " + kept + " up to date, " + failed.length
                  + " failed, in " + ((Date.now() - begun) / 1000).toFixed(0) + " s");
   failed.forEach(function (reason) { console.criticalln("failed: " + reason); });
   console.noteln("The next 'snakemake masters' with engine: pixinsight takes them as up to date.");
}

// As the workflow decides it: by the record, and a flat is older than none of its masters.
function isUpToDate(job, made) {
   var record = recordOf(job.recordFile);
   return File.exists(job.master)
      && ["digest", "bias_job", "dark_job"].every(function (name) {
         return record[name] === job.record[name];
      })
      && !job.used.some(function (used) { return made.indexOf(used.path) >= 0; });
}

console.show();
makeAll(JOBS);
