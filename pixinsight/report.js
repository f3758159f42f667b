// What happened, told to whoever waits.
//
// A runner that waits has put a file at job.status that says "requested"; it is replaced by
// "running" and at last "completed" or "failed". PixInsight's exit code tells nothing and its
// console goes nowhere, so this file is all a runner knows. By hand there is no such file: the
// console is enough.

function isAwaited(job) {
   return File.exists(job.status);
}

function asciiJson(value) {
   return JSON.stringify(value).replace(/[\u007f-\uffff]/g, function (character) {
      return "\\u" + ("0000" + character.charCodeAt(0).toString(16)).slice(-4);
   });
}

// Replace a file by another in one step, as far as PixInsight can: it does not move onto a file.
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

// Older versions end a log as text, newer ones as bytes.
function endLog() {
   console.flush();
   var log = console.endLog();
   if (typeof log === "string")
      return log;
   return typeof log.utf8ToString === "function" ? log.utf8ToString() : log.toString();
}
