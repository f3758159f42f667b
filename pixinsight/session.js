// Make masters in sequence until the supervisor ends this PixInsight.
//
// The supervisor writes files to SESSION.folder: `job.json` is the next master, `end` ends this
// script, `beat` is a heartbeat. The script removes `job.json` and `beat`, and the supervisor then
// writes `beat` again. Without a heartbeat for SESSION.patience_ms the supervisor no longer runs:
// the script ends, since nothing else would end this PixInsight.

function serve(session) {
   var lastBeat = Date.now();
   while (!File.exists(session.folder + "/end") && Date.now() - lastBeat < session.patience_ms) {
      var job = take(session.folder + "/job.json");
      if (job !== null)
         runForRunner(JSON.parse(job));
      if (job !== null || take(session.folder + "/beat") !== null)
         lastBeat = Date.now();
      else
         sleep(session.poll_ms);
   }
}

// Read and remove a file; null if it does not exist.
function take(path) {
   if (!File.exists(path))
      return null;
   var text = File.readTextFile(path);
   File.remove(path);
   return text;
}

// Sleep, and let PixInsight process window events. Both are global functions in the old engine and
// methods of objects in V8, where the global functions are deprecated.
function sleep(milliseconds) {
   if (typeof CoreApplication.processEvents === "function") {
      System.msleep(milliseconds);
      CoreApplication.processEvents();
   } else {
      msleep(milliseconds);
      processEvents();
   }
}

serve(SESSION);
