// Make masters for a user who runs a script: it writes the master to its final path.

function runForUser(job) {
   try {
      makeFolder(folderOf(job.part));
      makeMaster(job, function (step) { console.noteln("* " + step); });
      replaceFile(job.master, job.part);
   } finally {
      removeFile(job.part);
   }
   console.noteln("* wrote " + job.master);
}
