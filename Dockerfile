# vidinv as a user without rights: docker build -t vidinv . && docker run --rm -v "$PWD:/work" vidinv run talk.mp4 --edit age+2
FROM python:3.12-slim AS build
COPY . /source
# A virtual environment is the only thing that the image takes from here: no sources, no compilers, no caches. For the
# index, proxies and certificates of a site give its pip.conf as the secret "pip"; it is in no layer.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /opt/vidinv && /opt/vidinv/bin/pip install --no-cache-dir --no-compile /source

FROM python:3.12-slim
COPY --from=build /opt/vidinv /opt/vidinv
# The wheels of av and OpenCV bring their own FFmpeg and codecs; nothing is installed from the distribution.
RUN useradd --create-home --uid 10001 vidinv && install -d -o vidinv -g vidinv -m 0777 /cache /work
ENV PATH=/opt/vidinv/bin:$PATH VIDINV_CACHE=/cache PYTHONDONTWRITEBYTECODE=1
VOLUME /cache
WORKDIR /work
USER vidinv
ENTRYPOINT ["vidinv"]
CMD ["--help"]
