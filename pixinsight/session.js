// One master after another, for as long as somebody keeps this PixInsight.
//
// The supervisor speaks by files in SESSION.folder: `job.json` is the next master, taken by removing
// it; `end` asks to leave; `beat` is put there anew whenever it was taken. When no beat has come
// for SESSION.patience_ms, there is no supervisor any more, and nobody else would end this PixInsight.

function serve(session) {
   var heard = Date.now();
   while (!File.exists(session.folder + "/end") && Date.now() - heard < session.patience_ms) {
      var job = take(session.folder + "/job.json");
      if (job !== null)
         runAwaited(JSON.parse(job));
      if (job !== null || take(session.folder + "/beat") !== null)
         heard = Date.now();
      else
         rest(session.poll_ms);
   }
}

// The text of a file, which is removed; null where there is none.
function take(path) {
   if (!File.exists(path))
      return null;
   var text = File.readTextFile(path);
   File.remove(path);
   return text;
}

// Sleep, and let PixInsight attend to its windows. Both are global functions in the old engine
// and belong to objects in V8.
function rest(milliseconds) {
   if (typeof msleep === "function") {
      msleep(milliseconds);
      processEvents();
   } else {
      System.msleep(milliseconds);
      CoreApplication.processEvents();
   }
}

serve(SESSION);
