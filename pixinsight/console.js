// PixInsight's console, and its version.

// Return what was written to the console since console.beginLog. Older versions return text, newer
// ones bytes.
function endLog() {
   try {
      console.flush();
      var log = console.endLog();
      if (typeof log === "string")
         return log;
      return typeof log.utf8ToString === "function" ? log.utf8ToString() : log.toString();
   } catch (error) {
      return "the console could not be read: " + error;
   }
}

function coreVersion() {
   return [CoreApplication.versionMajor, CoreApplication.versionMinor,
           CoreApplication.versionRelease].join(".");
}
