"""The pipeline of a run: seven stages that turn decoded frames into an edited video, and their helper stages.

A stage takes an iterator of `vidinv.frames.Work` and yields copies with its own part added, in the same order. A Work
is a few consecutive frames of one shot and one segment, with everything that is known of their faces. N counts the
faces of a Work. In the order in which a frame passes them (a helper stage is indented):

    decode             decoded frames                       -> Work(frames, new_shot, segment)
    align              frames, face tracks                  -> faces: crops [N,3,S,S] and their transforms
    encode             faces                                -> codes: w+ [N,L,D] and F [N,C,h,w], refined if asked for
      codes            codes, or faces and a file of codes  -> codes: stored in the file, or read from it
    edit               faces, codes                         -> layers: one edited code per region of the face
    synthesize         codes, layers                        -> check, inversion, layers' pictures, edit
      mask             faces, check, layers                 -> masks; metrics: confidence, residual, cover, occlusion
      fade_confidence  metrics                              -> metrics: trust, faded_confidence
    blend              frames, faces, inversion, layers,
                       masks, metrics                       -> output: blended planes; metrics: rect
      watermark        output, layers, masks, metrics       -> output: watermarked planes
      measure_identity faces, inversion, edit, masks,
                       output, metrics                      -> metrics: similarity and fidelity; evidence
    reencode           output, metrics, evidence            -> segments of video and records in the journal

`graph` runs the stages in threads; `vidinv/jobs/render.py` chooses the stages of a job and puts them in this order. No
stage imports another: what several need is in `vidinv/faces/crops.py` and `vidinv/editing/`.
"""
