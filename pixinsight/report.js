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
   removeFile(path);
   whenFree(function () { File.move(by, path); });
}

function removeFile(path) {
   whenFree(function () {
      if (File.exists(path))
         File.remove(path);
   });
}

// Do something with a file. Windows refuses to remove or move one that is open elsewhere, such as a
// report that the runner reads at this moment, or a new file that a virus scanner looks at.
function whenFree(action) {
   for (var attempts = 0; ; ++attempts) {
      try {
         return action();
      } catch (error) {
         if (attempts === 100)
            throw error;
         sleep(50);
      }
   }
}

// Sleep, and let PixInsight process window events. Both are global functions in the old engine and
// methods of objects in V8.
function sleep(milliseconds) {
   if (typeof msleep === "function") {
      msleep(milliseconds);
      processEvents();
   } else {
      System.msleep(milliseconds);
      CoreApplication.processEvents();
   }
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
