// The report to a runner.
//
// A runner that waits has written a file job.status with the state "requested"; the script replaces
// it by "running" and finally by "completed" or "failed". PixInsight's exit code has no meaning and
// its console is not written to the standard output, so this file is the only information for the
// runner. A user who runs the script has no such file, and reads the console.

function hasRunner(job) {
   return File.exists(job.status);
}

function asciiJson(value) {
   return JSON.stringify(value).replace(/[\u007f-\uffff]/g, function (character) {
      return "\\u" + ("0000" + character.charCodeAt(0).toString(16)).slice(-4);
   });
}

// Replace a file by another. This takes two steps: File.move does not overwrite files.
function replaceFile(path, by) {
   if (File.exists(path))
      File.remove(path);
   File.move(by, path);
}

function report(job, state, fields) {
   fields.state = state;
   fields.version = coreVersion();
   File.writeTextFile(job.status + ".tmp", asciiJson(fields));
   replaceFile(job.status, job.status + ".tmp");
}

function coreVersion() {
   return [CoreApplication.versionMajor, CoreApplication.versionMinor,
           CoreApplication.versionRelease].join(".");
}

// Older versions return the log as text, newer ones as bytes.
function endLog() {
   console.flush();
   var log = console.endLog();
   if (typeof log === "string")
      return log;
   return typeof log.utf8ToString === "function" ? log.utf8ToString() : log.toString();
}
